-- key: id
SELECT a.id FROM (SELECT * FROM consult.appointments) a
-- want: a subquery in FROM; write one FROM with INNER and LEFT JOINs, one table after another
