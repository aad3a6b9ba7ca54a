-- key: id
SELECT a.id FROM consult.appointments a ORDER BY a.id
-- want: line 2: ORDER BY; a table has no order; sort where it is read
