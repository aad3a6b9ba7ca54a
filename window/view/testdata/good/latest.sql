-- key: visit_id
SELECT a.id AS visit_id, o.id AS order_id, o.amount, row_number() OVER (PARTITION BY a.id ORDER BY o.created_at DESC) AS rank,
       count(*) OVER (PARTITION BY a.id) AS of, sum(o.amount) OVER (PARTITION BY a.id ORDER BY o.created_at) AS running,
       lag(o.amount) OVER (PARTITION BY a.id ORDER BY o.created_at) AS before, first_value(o.amount) OVER (PARTITION BY a.id ORDER BY o.created_at) AS first_amount
FROM consult.appointments a JOIN pharmacy.orders o ON a.id = o.appointment_id AND o.created_at >= a.starts_at
QUALIFY rank = 1
