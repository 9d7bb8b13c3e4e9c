mod bounded;
mod damage;
mod extent;
mod forged;
mod round_trip;
mod sample;
mod writing;
