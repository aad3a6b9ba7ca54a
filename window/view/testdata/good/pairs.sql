-- key: visit_id, order_id
SELECT a.id AS visit_id, coalesce(o.id, 0) AS order_id, CASE WHEN o.paid THEN 'paid' ELSE 'open' END AS state, a.id % 10 AS bucket,
       a.starts_at + INTERVAL 7 DAY AS due, o.amount * 0.11 AS tax, a.status IN ('a', 'b') AS early, a.status LIKE 'x%' AS x
FROM consult.appointments a LEFT JOIN pharmacy.orders o ON o.appointment_id = a.id
