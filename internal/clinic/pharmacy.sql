create database if not exists pharmacy character set utf8mb4;

create table if not exists pharmacy.orders (
  order_id       bigint unsigned not null auto_increment primary key,
  appointment_id bigint unsigned,
  patient_id     bigint unsigned not null,
  status         enum('new', 'paid', 'shipped') not null,
  amount         decimal(12,2) not null,
  paid           decimal(12,2) not null default 0,
  currency       char(3) not null default 'IDR',
  placed_at      datetime(6) not null,
  updated_at     timestamp not null default current_timestamp on update current_timestamp,
  key (appointment_id)
) engine=innodb;

create table if not exists pharmacy.order_items (
  order_id    bigint unsigned not null,
  line_no     smallint unsigned not null,
  sku         varchar(40) not null,
  quantity    int unsigned not null,
  unit_price  decimal(12,2) not null,
  primary key (order_id, line_no),
  foreign key (order_id) references pharmacy.orders (order_id)
) engine=innodb;

create table if not exists pharmacy.payments (
  payment_id  bigint unsigned not null auto_increment primary key,
  order_id    bigint unsigned not null,
  method      enum('transfer', 'card', 'wallet', 'cash') not null,
  amount      decimal(12,2) not null,
  reference   varchar(64) not null,
  paid_at     datetime(6) not null,
  updated_at  timestamp not null default current_timestamp on update current_timestamp,
  foreign key (order_id) references pharmacy.orders (order_id)
) engine=innodb;
