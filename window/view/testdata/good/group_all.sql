-- key: id
SELECT a.id, upper(a.status) AS status, count(*) AS n FROM consult.appointments a JOIN pharmacy.orders o ON o.appointment_id = a.id GROUP BY ALL
