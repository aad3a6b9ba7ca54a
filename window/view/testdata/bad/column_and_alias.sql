-- key: id
SELECT a.id, upper(a.status) AS status FROM consult.appointments a WHERE status = 'X'
-- want: line 2: status is both a column and a name given in SELECT; write alias.status or give another name
