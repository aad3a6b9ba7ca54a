-- key: id
SELECT a.id, b.* FROM consult.appointments a
-- want: line 2: unknown table b before .*; use an alias of FROM
