-- key: id
SELECT a.id, a.status AS _op FROM consult.appointments a
-- want: line 2: output column _op; the name is reserved; give another one
