-- key: order_id, line
SELECT DISTINCT i.order_id, i.line, i.sku, i.qty, o.amount, a.status, coalesce(p.name, 'unknown') AS patient
FROM pharmacy.order_items AS i
JOIN pharmacy.orders AS o ON o.id = i.order_id
LEFT JOIN consult.appointments AS a ON a.id = o.appointment_id
LEFT JOIN consult.patients AS p ON coalesce(a.patient_id, 0) = p.id
