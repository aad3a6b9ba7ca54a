-- key: id
SELECT tm_keys.id FROM consult.appointments tm_keys
-- want: line 2: the alias tm_keys; the prefix tm_ is reserved; use another alias
