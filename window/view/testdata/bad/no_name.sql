-- key: id
SELECT a.id, upper(a.status) FROM consult.appointments a
-- want: line 2: output column 2 has no name; add AS name
