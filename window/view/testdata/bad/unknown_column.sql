-- key: id
SELECT a.id, a.statsu FROM consult.appointments a
-- want: line 2: unknown column a.statsu (did you mean status?)
