-- key: id
SELECT a.id FROM consult.appointments a WHERE row_number() OVER (PARTITION BY a.id) = 1
-- want: line 2: row_number() OVER in WHERE; window functions may stand in SELECT and QUALIFY
