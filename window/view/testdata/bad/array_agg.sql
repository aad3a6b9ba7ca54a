-- key: id
SELECT a.id, array_agg(o.id) AS l FROM consult.appointments a JOIN pharmacy.orders o ON o.appointment_id = a.id GROUP BY a.id
-- want: line 2: array_agg() gives a list, which no warehouse column holds; write string_agg(value, ',' ORDER BY rank)
