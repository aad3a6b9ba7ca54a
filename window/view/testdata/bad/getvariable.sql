-- key: id
SELECT a.id, getvariable('x') AS s, current_setting('threads') AS t FROM consult.appointments a
-- want: line 2: getvariable() is not among the functions known to give the same result every time; use another function, or do this step in a job on the warehouse
-- want: line 2: current_setting() is not among the functions known to give the same result every time; use another function, or do this step in a job on the warehouse
