-- key: id
SELECT a.id, count(*) AS n, rank() OVER (PARTITION BY a.id ORDER BY a.id) AS r FROM consult.appointments a GROUP BY a.id
-- want: line 2: a window function in a view with aggregates; make two views
