-- key: id
SELECT a.id FROM consult.appointments a WHERE a.id = ?
-- want: a parameter or #position; name the column
