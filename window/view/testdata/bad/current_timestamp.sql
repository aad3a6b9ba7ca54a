-- key: id
SELECT a.id
FROM consult.appointments a WHERE a.starts_at > current_timestamp
-- want: line 3: current_timestamp changes with the clock; the row would change without any change in its sources; select the timestamps themselves and compare them with the clock in the dashboard or in a job
