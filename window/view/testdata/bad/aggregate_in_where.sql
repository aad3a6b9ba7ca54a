-- key: id
SELECT a.id FROM consult.appointments a WHERE count(*) > 1 GROUP BY a.id
-- want: line 2: aggregate count() in WHERE; aggregates may stand in SELECT and HAVING
