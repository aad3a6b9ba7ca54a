-- key: id
SELECT patients.* EXCLUDE (weight, id), appointments.id FROM consult.clinic.appointments JOIN consult.patients ON patients.id = appointments.patient_id
