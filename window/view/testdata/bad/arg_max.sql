-- key: id
SELECT a.id, arg_max(o.id, o.created_at) AS o FROM consult.appointments a JOIN pharmacy.orders o ON o.appointment_id = a.id GROUP BY a.id
-- want: line 2: arg_max() picks any of several equal rows; write first(value ORDER BY rank DESC)
