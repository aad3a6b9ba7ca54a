-- key: id
SELECT a.id, last_value(o.id) OVER (PARTITION BY a.id ORDER BY o.created_at) AS s FROM consult.appointments a JOIN pharmacy.orders o ON o.appointment_id = a.id
-- want: line 2: last_value() over a window depends on its frame; write first_value with the opposite ORDER BY
