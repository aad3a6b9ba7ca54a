-- key: id
SELECT a.id FROM consult.appointments a USING SAMPLE 10
-- want: USING SAMPLE; filter with WHERE on a column
