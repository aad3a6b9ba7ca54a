-- key: id
SELECT a.id, COLUMNS('s.*') FROM consult.appointments a
-- want: line 2: COLUMNS(), or * with REPLACE, RENAME or a qualified EXCLUDE; name the columns
