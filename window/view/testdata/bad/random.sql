-- key: id
SELECT a.id, random() AS r, uuid() AS u FROM consult.appointments a
-- want: line 2: random() differs from call to call; derive the value from the key, e.g. md5(CAST(id AS VARCHAR))
-- want: line 2: uuid() differs from call to call; derive the value from the key, e.g. md5(CAST(id AS VARCHAR))
