-- key: visit_id, id
SELECT a.id AS visit_id, o.id FROM consult.appointments a LEFT JOIN pharmacy.orders o ON o.appointment_id = a.id
-- want: line 2: key column id is NULL when o has no row; write coalesce(o.id, ...) AS id
