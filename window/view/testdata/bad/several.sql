-- key: id
SELECT a.id, now() AS t, a.statsu, random() AS r
FROM consult.appointments a
WHERE a.patient = 1
-- want: line 2: now changes with the clock; the row would change without any change in its sources; select the timestamps themselves and compare them with the clock in the dashboard or in a job
-- want: line 2: unknown column a.statsu (did you mean status?)
-- want: line 2: random() differs from call to call; derive the value from the key, e.g. md5(CAST(id AS VARCHAR))
-- want: line 4: unknown column a.patient
