-- key: id
SELECT a.id, current_date - 1 AS t FROM consult.appointments a
-- want: line 2: current_date changes with the clock; the row would change without any change in its sources; select the timestamps themselves and compare them with the clock in the dashboard or in a job
