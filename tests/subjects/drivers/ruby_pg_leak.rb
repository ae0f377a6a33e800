# Opens connections with ruby-pg and keeps them all, each with a state of its own. usage: ruby_pg_leak.rb NUMBER
require 'pg'

number = ARGV[0].to_i
connections = number.times.map do |i|
  connection = PG.connect(application_name: "one of many #{i}")
  connection.exec("SET work_mem = '#{i + 1}MB'")
  connection.exec_params("SELECT set_config('own.name', $1, false)", ["name #{i}"])
  connection.prepare('kept', "SELECT #{i} + $1::int AS sum, current_setting('own.name') AS name")
  connection.internal_encoding = 'ISO-8859-1' if i % 3 == 0
  connection.type_map_for_results = PG::BasicTypeMapForResults.new(connection) if i % 5 == 0
  connection
end

3.times do |turn|
  connections.each_with_index.reverse_each do |connection, i|
    row = connection.exec_prepared('kept', [turn * 100])[0]
    puts "#{turn} #{i}: #{row} #{connection.exec('SHOW work_mem').getvalue(0, 0)} #{connection.get_client_encoding} " \
         "#{connection.parameter_status('application_name')} #{connection.transaction_status} #{connection.db}"
  end
end

connections.each_with_index do |connection, i|
  begin
    connection.exec_params('SELECT 1 / ($1::int - $2::int)', [i, i])
  rescue PG::Error => e
    puts "#{i}: #{e.class} #{e.result.error_field(PG::Result::PG_DIAG_SQLSTATE)} #{e.message.lines.first}"
  end
  notices = []
  connection.set_notice_processor { |text| notices << text.lines.first }
  connection.exec("DO $$ BEGIN RAISE NOTICE 'from %', current_setting('own.name'); END $$")
  puts "#{i}: #{notices}"
end

connections.first(10).each_with_index do |connection, i|
  connection.transaction do
    connection.exec('CREATE TEMPORARY TABLE mine (n int, t text) ON COMMIT DROP')
    connection.copy_data('COPY mine FROM STDIN') { (i + 2).times { |n| connection.put_copy_data("#{n}\tline #{n}\n") } }
    lines = []
    connection.copy_data('COPY mine TO STDOUT') do
      while (line = connection.get_copy_data)
        lines << line.chomp
      end
    end
    puts "#{i}: #{lines}"
    large = connection.lo_creat
    descriptor = connection.lo_open(large, PG::INV_WRITE | PG::INV_READ)
    puts "#{i}: #{connection.lo_write(descriptor, 'large' * (i + 1))}"
    connection.lo_close(descriptor)
    connection.lo_unlink(large)
  end
  connection.send_query('SELECT n FROM generate_series(1, 20) n')
  connection.set_single_row_mode
  puts "#{i}: #{connection.get_result.stream_each.sum { |row| row['n'].to_i }}"
  connection.get_last_result
end
