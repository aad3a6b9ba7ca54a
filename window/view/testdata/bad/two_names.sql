-- key: id
SELECT a.id, a.status, upper(a.status) AS status FROM consult.appointments a
-- want: line 2: two output columns are called status; give one of them another name with AS
