-- key: id
SELECT a.id, #1 AS s FROM consult.appointments a
-- want: line 2: a parameter or #position; name the column
