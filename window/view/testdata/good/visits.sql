-- key: visit_id
SELECT a.id AS visit_id, a.status, p.name AS patient, p.city, d.name AS doctor, lead.name AS lead_doctor, a.starts_at,
       date_trunc('day', starts_at) AS day, a.extra->>'$.room' AS room, a.extra
FROM consult.appointments a
LEFT JOIN consult.patients p ON p.id = a.patient_id
LEFT JOIN consult.doctors d ON d.id = a.doctor_id
LEFT JOIN consult.doctors lead ON lead.id = d.lead_id
WHERE a.status <> 'cancelled'
