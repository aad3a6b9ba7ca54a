-- What each doctor has done, and what came of it at the pharmacy. A table in ref is one that the job waits for.
SELECT
  {{"{{"}} interval.start {{"}}"}} AS day,
  doctor_id,
  doctor,
  COUNT(*) AS visits,
  SUM(ordered) AS ordered,
  SUM(paid) AS paid
FROM {{"{{"}} ref "mart.visits" {{"}}"}}
GROUP BY doctor_id, doctor
