-- key: id
WITH x AS (SELECT 1) SELECT a.id FROM consult.appointments a
-- want: WITH; write one FROM with INNER and LEFT JOINs, one table after another
