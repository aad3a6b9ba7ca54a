-- key: id
SELECT DISTINCT ON (a.patient_id) a.id FROM consult.appointments a
-- want: DISTINCT ON; write QUALIFY row_number() OVER (PARTITION BY the anchor's key ORDER BY ...) = 1
