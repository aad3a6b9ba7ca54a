-- key: visit_id
SELECT a.id AS visit_id, count(o.id) AS orders, sum(o.amount) AS amount, sum(o.score) AS score, string_agg(i.sku, ',' ORDER BY i.qty DESC) AS skus,
       count(DISTINCT i.sku) FILTER (WHERE i.qty > 0) AS kinds, sum(DISTINCT o.score) AS distinct_score, max(o.created_at) AS last_order,
       CAST(sum(i.qty) AS BIGINT) AS qty, sum(o.amount) > 100 AS large
FROM consult.appointments a
LEFT JOIN pharmacy.orders o ON o.appointment_id = a.id AND o.paid
LEFT JOIN pharmacy.order_items i ON i.order_id = o.id
GROUP BY visit_id
HAVING orders >= 0
