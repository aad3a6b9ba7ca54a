-- key: id
SELECT a.id AS visit_id FROM consult.appointments a
-- want: key column id is not in SELECT
-- want: the key lacks the primary key column id of the anchor consult.appointments; select a.id and add it to key
