create database if not exists clinic character set utf8mb4;

create table if not exists clinic.doctors (
  doctor_id   int unsigned not null auto_increment primary key,
  full_name   varchar(120) not null,
  specialty   enum('general', 'pediatrics', 'cardiology', 'dermatology', 'psychiatry') not null,
  licence_no  varchar(32) not null unique,
  fee         decimal(12,2) not null,
  active      tinyint(1) not null default 1,
  hired_on    date not null,
  updated_at  timestamp not null default current_timestamp on update current_timestamp
) engine=innodb;

create table if not exists clinic.patients (
  patient_id  bigint unsigned not null auto_increment primary key,
  full_name   varchar(120) not null,
  email       varchar(190),
  phone       varchar(32) not null,
  birth_date  date,
  sex         enum('f', 'm', 'x') not null,
  city        varchar(80) not null,
  consented   tinyint(1) not null default 0,
  notes       text,
  created_at  datetime(6) not null,
  updated_at  timestamp not null default current_timestamp on update current_timestamp
) engine=innodb;

create table if not exists clinic.appointments (
  appointment_id bigint unsigned not null auto_increment primary key,
  patient_id     bigint unsigned not null,
  doctor_id      int unsigned not null,
  status         enum('booked', 'checked_in', 'done', 'cancelled', 'no_show') not null,
  channel        enum('chat', 'video', 'visit') not null,
  scheduled_at   datetime(6) not null,
  fee            decimal(12,2) not null,
  notes          text,
  updated_at     timestamp not null default current_timestamp on update current_timestamp,
  foreign key (patient_id) references clinic.patients (patient_id),
  foreign key (doctor_id) references clinic.doctors (doctor_id)
) engine=innodb;
