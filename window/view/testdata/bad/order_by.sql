-- key: id
SELECT a.id FROM consult.appointments a ORDER BY a.id
-- want: ORDER BY; a table has no order; sort where it is read
