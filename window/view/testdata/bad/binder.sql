-- key: id
SELECT a.id, a.starts_at + a.status AS x FROM consult.appointments a
-- want: No function matches the given name and argument types '+(TIMESTAMP, VARCHAR)'. You might need to add explicit type casts.
