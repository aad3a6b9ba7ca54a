-- One row per appointment, with what was ordered because of it: a join over two servers.
SELECT
  a.appointment_id,
  a.scheduled_at,
  a.status,
  a.channel,
  p.patient_id,
  p.city,
  d.doctor_id,
  d.full_name AS doctor,
  d.specialty,
  a.fee,
  COUNT(o.order_id) AS orders,
  CAST(COALESCE(SUM(o.amount), 0) AS DECIMAL(18, 2)) AS ordered,
  CAST(COALESCE(SUM(o.paid), 0) AS DECIMAL(18, 2)) AS paid
FROM consult.appointments a
JOIN consult.patients p ON p.patient_id = a.patient_id
JOIN consult.doctors d ON d.doctor_id = a.doctor_id
LEFT JOIN pharmacy.orders o ON o.appointment_id = a.appointment_id
GROUP BY
  a.appointment_id, a.scheduled_at, a.status, a.channel,
  p.patient_id, p.city, d.doctor_id, d.full_name, d.specialty, a.fee
