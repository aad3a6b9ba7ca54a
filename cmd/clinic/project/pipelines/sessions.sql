-- One row per chat session, with the visit that it led to and what was ordered then: a join over a DynamoDB table and two servers.
SELECT
  s.session_id,
  s.channel,
  s.started_at,
  s.messages,
  s.wait,
  s.rating,
  a.appointment_id,
  a.status,
  p.patient_id,
  p.city,
  COUNT(o.order_id) AS orders,
  CAST(COALESCE(SUM(o.amount), 0) AS DECIMAL(18, 2)) AS ordered
FROM sessions.sessions s
JOIN consult.appointments a ON a.appointment_id = s.appointment_id
JOIN consult.patients p ON p.patient_id = a.patient_id
LEFT JOIN pharmacy.orders o ON o.appointment_id = a.appointment_id
GROUP BY
  s.session_id, s.channel, s.started_at, s.messages, s.wait, s.rating,
  a.appointment_id, a.status, p.patient_id, p.city
