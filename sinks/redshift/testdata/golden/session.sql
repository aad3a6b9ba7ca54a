SET query_group TO 'it''s \\ here';
SET statement_timeout TO 3600000;
SET timezone TO 'UTC';
SET datestyle TO 'ISO';
SET extra_float_digits TO 2;
SHOW enable_case_sensitive_identifier;
