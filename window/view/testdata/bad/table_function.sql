-- key: id
SELECT a.id FROM read_csv('x.csv') a
-- want: line 2: a table function in FROM; a view reads source tables only, written source.table
