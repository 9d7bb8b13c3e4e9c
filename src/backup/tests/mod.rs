mod damage;
mod forged;
mod round_trip;
mod sample;
mod writing;
