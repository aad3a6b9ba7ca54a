-- key: id
SELECT a.id, (SELECT max(id) FROM consult.patients) AS m FROM consult.appointments a
-- want: line 2: a subquery; join the table with LEFT JOIN
