SELECT a.id AS visit_id, p.city FROM consult.clinic.appointments a LEFT JOIN consult.clinic.patients p ON p.id = a.patient_id
