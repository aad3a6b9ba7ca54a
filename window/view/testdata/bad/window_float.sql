-- key: id
SELECT a.id, sum(o.score) OVER (PARTITION BY a.id) AS s FROM consult.appointments a JOIN pharmacy.orders o ON o.appointment_id = a.id
-- want: line 2: sum() OVER floating-point numbers depends on the order of rows; write sum(CAST(... AS DECIMAL(38,6))) OVER
