-- key: id
SELECT a.id, count(*) AS n FROM consult.appointments a GROUP BY ROLLUP (a.id)
-- want: GROUPING SETS, ROLLUP or CUBE; write one plain GROUP BY
