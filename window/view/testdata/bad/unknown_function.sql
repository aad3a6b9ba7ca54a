-- key: id
SELECT a.id, frobnicate(a.status) AS s FROM consult.appointments a
-- want: line 2: frobnicate() is not among the functions known to give the same result every time; use another function, or do this step in a job on the warehouse
