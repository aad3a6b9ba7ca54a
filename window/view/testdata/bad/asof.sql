-- key: id
SELECT a.id FROM consult.appointments a ASOF JOIN pharmacy.orders o ON o.created_at >= a.starts_at
-- want: line 2: ASOF JOIN; write JOIN ... ON left.column = right.column
