-- key: id
SELECT a.id FROM legacy.visits a
-- want: line 2: source legacy has several tables visits; write source.schema.table
