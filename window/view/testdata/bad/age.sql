-- key: id
SELECT a.id, age(a.starts_at) AS t FROM consult.appointments a
-- want: line 2: age() with one argument changes with the clock; the row would change without any change in its sources; select the timestamps themselves and compare them with the clock in the dashboard or in a job
